"""What a cluster needs before documents come: `templates` puts index and component templates there."""
