"""What a small model is told so that its code works: profiles of tables, hints after errors."""
