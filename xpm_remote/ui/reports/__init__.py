"""What commands report, as lines and as JSON documents; pure."""
