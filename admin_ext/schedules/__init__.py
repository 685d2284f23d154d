"""Schedules: the list, the form, what can be done with one."""
