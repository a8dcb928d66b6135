"""Drawing: text, glyphs, backgrounds and the PNG. The only package that imports Pillow."""
