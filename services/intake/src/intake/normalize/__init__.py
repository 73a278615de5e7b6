"""What upstream systems write, made into one shape. Each module is one field's rules."""
