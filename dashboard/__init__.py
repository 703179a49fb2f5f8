"""The dashboard. Imports point one way: pages -> components -> {data, charts} -> metaclip_core."""
