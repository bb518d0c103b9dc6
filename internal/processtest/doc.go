// Package processtest is for tests of programs that run as processes of their own: it starts them, and waits for what they do, of which nothing tells.
package processtest
