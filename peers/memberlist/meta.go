package memberlist

import (
	"encoding/binary"
	"errors"
	"fmt"

	gossip "github.com/hashicorp/memberlist"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

// What an instance says of itself, in the metadata of its node:
//
//	version  1 byte: 1. Who knows another one only, leaves the node out
//	flags    1 byte: 1 is leaving; others are ignored
//	weight   varint: 1 to ring.MaxWeight
//	length   varint: of the URL
//	URL
//
// What follows is ignored: fields are appended, and flags are added, without a new version.
const (
	metaVersion = 1
	metaLeaving = 1
)

// maxMeta is how much a node can say of itself.
const maxMeta = gossip.MetaMaxSize

// encodeMeta returns the metadata of m, whose URL is in its one spelling. It may be longer than maxMeta.
func encodeMeta(m discover.Member) []byte {
	b := []byte{metaVersion, 0}
	if m.Leaving {
		b[1] |= metaLeaving
	}
	b = binary.AppendUvarint(b, uint64(max(m.Weight, 1)))
	b = binary.AppendUvarint(b, uint64(len(m.URL)))
	return append(b, m.URL...)
}

// decodeMeta returns the member that b describes. It keeps nothing of b.
func decodeMeta(b []byte) (m discover.Member, err error) {
	if len(b) < 2 {
		return m, fmt.Errorf("the metadata have %d bytes", len(b))
	}
	if b[0] != metaVersion {
		return m, fmt.Errorf("the metadata are of version %d, not %d", b[0], metaVersion)
	}
	m.Leaving = b[1]&metaLeaving != 0
	weight, n := binary.Uvarint(b[2:])
	if n <= 0 || weight < 1 || weight > address.MaxWeight {
		return discover.Member{}, errors.New("the weight in the metadata is wrong")
	}
	m.Weight = int(weight)
	b = b[2+n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return discover.Member{}, errors.New("the metadata are cut off")
	}
	if m.URL, err = address.Normalize(string(b[n : n+int(length)])); err != nil {
		return discover.Member{}, err
	}
	return m, nil
}
