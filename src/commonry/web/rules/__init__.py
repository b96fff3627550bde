"""What the website decides without asking anyone: words for people, dates as they write them, months, maps."""
