"""The marketplace's source database: its tables, a seeded generator, a day-by-day simulator and a fault report."""
