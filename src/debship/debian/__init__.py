"""What Debian is: versions, paragraphs, releases, archives. Pure."""
