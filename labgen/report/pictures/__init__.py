"""Drawings as SVG: of a lab's topology, of where tasks ran, of what became of requests. Pure, and always the same.

They have classes and no colours: those are in the style sheet of the page that contains them, or that is put inside.
So a picture is readable in light and dark, and on paper. Nothing is told by colour alone.
"""
