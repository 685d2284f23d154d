"""Projects that are not ours, each unlike the others in something, joined by the lines of docs/integrate.md."""
