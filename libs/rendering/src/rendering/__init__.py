"""What a template and its values become: subject, text and HTML, bounded and harmless.

Pure: no clock, no chance, no network. The dispatcher sends what comes out, the portal refuses
templates by the same rules and shows the same words before they are sent (ADR 21).
"""
