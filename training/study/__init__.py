"""The paper's study on this project's tables: experiments measure figures, tables and pictures show them."""
