"""What a conversion reports: numbers, pictures, a page, and thresholds that make it a gate."""
