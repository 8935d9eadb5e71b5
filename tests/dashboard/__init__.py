"""Tests of the dashboard: pages under the app runner, the server process, and a browser."""
