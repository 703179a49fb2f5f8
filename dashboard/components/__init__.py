"""Parts of a page: what is drawn with Streamlit and used by pages."""
