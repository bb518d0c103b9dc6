// Package clients has tests of the program as its clients have it: curl, a browser, and load, at a fleet of three processes in front of an
// origin that remembers what it was asked for.
//
// They are skipped with -short. Those that need curl or Chromium are skipped where there is none, and fail in CI.
package clients
