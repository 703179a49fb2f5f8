"""The pages: scripts that Streamlit runs, each laying out components."""
