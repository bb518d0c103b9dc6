// Package ring decides which member of a fleet owns a key, and who stands in for
// the owner, in which order. Everything in it is a pure function of the set of
// members: two instances that know the same members agree on every key, whatever
// their architecture, the order in which they list the members, and the sets they
// knew before.
//
// # Algorithm
//
// A key hashes to one of 2^16 slots: the upper 16 bits of its xxhash64. Each slot
// ranks the members by weighted rendezvous hashing: a slot and a member hash to a
// number u in (0, 1), and the slot prefers the members with the lowest cost
// -log2(u)/weight, which makes each the first choice of a share of the slots
// that is in proportion to its weight.
// Chance alone would give some members far more than their share, so there is a
// bound: 1.05 of the share, rounded down to whole slots, or the next whole number
// above the share where that is more. Slots and members are matched by deferred
// acceptance: each slot proposes to the members as it prefers them, and a full
// member keeps the slots for which its own cost is lowest. Both sides rank by the
// same cost, equal costs by member and then slot, so there is exactly one stable
// matching, and it is the [Table]. A slot's owner is who it is matched with; its
// successors are the other members as it prefers them. The owner and three
// successors are tabled, 512 KiB in all; further ones are computed when asked for.
//
// Ranks are computed in integer arithmetic only, the logarithm too: floating point
// may differ in the last bit between architectures, and one bit is another owner.
// Golden files pin the placement. If it ever changes, the epochs change with it, so
// that a fleet sees that its old and new instances disagree while it is upgraded.
//
// # What to expect
//
// The busiest member has, over the average, 1.006 of the slots with 3 members,
// 1.02 with 10, and 1.05 or a little less with 100 to 1000. When a member comes
// or goes, the slots that change owners are 1.00 times those that must (its own)
// up to 30 members, 1.04 times with 100, 1.3 with 300 and 1.7 with 1000: with few
// slots a member, the bound turns more of them away, and a changed bound lets
// some return.
//
// A lookup is one hash and one index. Building a table takes about 6 ms for 3
// members, 16 ms for 10, 25 ms for 100 and 60 ms for 1000 (one core of an AMD
// EPYC); there is no incremental way, because a table is a function of the set
// alone.
//
// # Not goals
//
// It does not know who is alive: a caller walks [Table.Owners] past the members
// that do not answer. It does not make members agree on the set; they compare
// epochs to see that they do not. It does not even out popular keys, only slots:
// keys that are asked for alike. The hashes have no secret, so who chooses keys can
// choose the slot they fall in, and who chooses member IDs the placement.
//
// # Rejected
//
//   - Jump hashing: only the last member can leave cheaply; removing any other one
//     moves 2 to 67 times what it must.
//   - Maglev: moves 1.5 to 4.4 times what it must.
//   - Anchor, Dx, Memento: need an agreed history. Two members that see two
//     removals in opposite orders disagree on 14 % of the keys.
//   - Plain rendezvous hashing: 2 µs a lookup at 1000 members, and no bound.
//   - A circle of virtual nodes: at 50 points a member the busiest has 1.22 of the
//     average with 3 members and 1.83 with 1000.
//
// # References
//
//   - D. Thaler, C. Ravishankar: Using name-based mappings to increase hit rates,
//     IEEE/ACM Trans. Networking 6(1), 1998 (rendezvous hashing).
//   - C. Schindelhauer, G. Schomaker: Weighted distributed hash tables, SPAA 2005
//     (the logarithmic method).
//   - V. Mirrokni, M. Thorup, M. Zadimoghaddam: Consistent hashing with bounded
//     loads, SODA 2018.
//   - D. Gale, L. Shapley: College admissions and the stability of marriage,
//     Amer. Math. Monthly 69(1), 1962 (deferred acceptance).
package ring
