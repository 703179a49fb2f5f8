"""The dashboard: page configuration and navigation, nothing else. Start it with `metaclip dashboard RUN`."""

import streamlit as st

from dashboard.components.sidebar import sidebar

PAGES = {
    "The pool": [
        st.Page("dashboard/pages/overview.py", title="Overview", default=True),
        st.Page("dashboard/pages/balance.py", title="Balance"),
        st.Page("dashboard/pages/entries.py", title="Entries"),
        st.Page("dashboard/pages/pairs.py", title="Pairs"),
        st.Page("dashboard/pages/search.py", title="Search"),
        st.Page("dashboard/pages/compare.py", title="Compare"),
        st.Page("dashboard/pages/sql.py", title="SQL"),
    ],
    "In and out": [
        st.Page("dashboard/pages/data.py", title="Data"),
        st.Page("dashboard/pages/metadata.py", title="Metadata"),
        st.Page("dashboard/pages/export.py", title="Export"),
    ],
}

# No page_icon of `:material/...:`: the browser would fetch it from fonts.gstatic.com.
st.set_page_config(page_title="MetaCLIP dashboard", layout="wide")
page = st.navigation(PAGES)
sidebar()
page.run()
