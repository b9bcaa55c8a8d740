"""The report: `report/report.html` for people and `report/audit.json` for programs."""
