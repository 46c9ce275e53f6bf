-- A later version of the source: one new column, one widened.
ALTER TABLE products ADD COLUMN IF NOT EXISTS weight_grams int;
ALTER TABLE products ALTER COLUMN title TYPE varchar(800);
UPDATE products SET weight_grams = 50 + (hashtext(id::text) & 8191) WHERE status = 'active' AND weight_grams IS NULL;
