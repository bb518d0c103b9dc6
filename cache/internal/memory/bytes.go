package memory

import "unsafe"

// bytesOf returns the bytes of v, if it is a string or a byte slice. Nobody may change them.
func bytesOf[V any](v *V) []byte {
	switch v := any(v).(type) {
	case *string:
		return unsafe.Slice(unsafe.StringData(*v), len(*v))
	case *[]byte:
		return *v
	}
	return nil
}

// keepBytes makes v, if it is a string or a byte slice, one of b, which is kept; but nil if it was nil.
func keepBytes[V any](v *V, b []byte) {
	switch v := any(v).(type) {
	case *string:
		*v = ""
		if len(b) > 0 {
			*v = unsafe.String(&b[0], len(b))
		}
	case *[]byte:
		switch {
		case *v == nil:
		case len(b) == 0:
			*v = []byte{} // which points to no block, as its like may be appended to
		default:
			*v = b[:len(b):len(b)]
		}
	}
}
