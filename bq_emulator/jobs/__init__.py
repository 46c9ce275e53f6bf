"""Jobs: query, load and copy, run in threads and recorded in the transaction of what they do."""
