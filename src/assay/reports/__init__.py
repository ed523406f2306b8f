"""What a report looks like: pages, tables and pictures, drawn from figures that others have gathered."""
