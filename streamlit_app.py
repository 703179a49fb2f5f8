"""The dashboard: page configuration and navigation, nothing else. Start it with `metaclip dashboard RUN`."""

import streamlit as st

# No page_icon of `:material/...:`: the browser would fetch it from fonts.gstatic.com.
st.set_page_config(page_title="MetaCLIP dashboard", layout="wide")
st.navigation([st.Page("dashboard/pages/overview.py", title="Overview", default=True)]).run()
