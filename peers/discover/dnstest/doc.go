// Package dnstest tests discover.DNS with a real DNS server. It is a module of its own so that the server is no dependency of the library's, and
// it exports nothing.
package dnstest
