package conformance

// A profile is flags of the program.
type profile struct {
	name, about string
	flags       []string
}

// profiles returns all of them.
func profiles() []profile {
	return []profile{
		{"rfc", "what RFC 9111 lets a shared cache do: it stores responses that set cookies, and heeds the client's Cache-Control", []string{"-store-set-cookie", "-store-post", "-trust-client-cache-control"}},
		{"safe", "the program's default", nil},
	}
}
