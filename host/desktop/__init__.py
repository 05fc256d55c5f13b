"""The window: pads, prompts, loops, meters and the plan on a screen; a client of the stage, whose sound goes
on without it.
"""
