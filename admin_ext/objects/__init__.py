"""Jobs run on the objects of any admin list, and runs told on the pages of the objects they touched."""
