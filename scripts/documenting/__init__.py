"""What the documentation takes from the code: commands from Typer, keys from the recipe's schema, and so on."""
