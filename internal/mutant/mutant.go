// Package mutant names the ways in which the protocol can be built wrong, so that tests can show that they would notice. In a program
// that is built without the tag mutants, On is false, and the compiler drops what hangs on it.
package mutant

// A Mutant is a rule of the protocol that is broken.
type Mutant int

// The mutants.
const (
	None               Mutant = iota
	NoGenerationCheck         // what a load that a fence overtook brings is stored
	JoinsOlderFlights         // Gets that begin after a fence join loads that began before it
	NoHold                    // what comes from others while an invalidation is under way is stored
	JoinsDuringHold           // and joined by others
	FencesOwnerOnly           // a fence goes to the owner alone
	NoViewOnAcks              // whom those know that acknowledge a fence is not heeded
	NoHandshake               // who joins asks nobody for what is under way
	CoalescesBeforeIt         // who joins stores and shares before it was told
	CachesLastResort          // what is loaded as a last resort is kept
	LeaseFromReceipt          // a mirror's term is counted from its receipt
	NoJournal                 // what an instance missed is not told it afterwards
	PeeksDuringHold           // a load asks the former owner for what is being invalidated
	ForgetsNobody             // a former owner that could not be reached is asked on
	UnfencedStores            // a Set stores though another invalidation overlapped it
	CopiesDuringHold          // what is being invalidated is copied from its owner
	CopyFromReceipt           // a copy's term is counted from its receipt
	RenewsAnyCopy             // and renewed though the owner has another value
	PeeksInDoubt              // a load asks another one for what was invalidated not everywhere
	TakesFromForgotten        // what one that is forgotten listed is pulled or copied
	HedgesInDoubt             // a hedge asks another one for that
	StoresHedges              // what a hedge brings is kept, without a lease of the owner's
	TellsTakeoverFirst        // who took over tells the owner so before it has heard what it missed
	JoinsAcrossTags           // Gets that begin after a fence of tags take what is loading
	NoTagHold                 // what comes from others while a tag is being invalidated is stored, and joined by others
	UntaggedMirrors           // what comes from others has no tags
	StoresAcrossTags          // a Set stores though an invalidation of its tags overlapped it
	ReturnsUntold             // one that was forgotten and comes back is not told so
	Forwards                  // who is asked for what it does not own asks the owner
	last
)

// All are the mutants, without None.
func All() []Mutant {
	all := make([]Mutant, 0, last-1)
	for m := None + 1; m < last; m++ {
		all = append(all, m)
	}
	return all
}

func (m Mutant) String() string {
	return [last]string{"None", "NoGenerationCheck", "JoinsOlderFlights", "NoHold", "JoinsDuringHold", "FencesOwnerOnly", "NoViewOnAcks", "NoHandshake",
		"CoalescesBeforeIt", "CachesLastResort", "LeaseFromReceipt", "NoJournal", "PeeksDuringHold", "ForgetsNobody", "UnfencedStores",
		"CopiesDuringHold", "CopyFromReceipt", "RenewsAnyCopy", "PeeksInDoubt", "TakesFromForgotten", "HedgesInDoubt", "StoresHedges",
		"TellsTakeoverFirst", "JoinsAcrossTags", "NoTagHold", "UntaggedMirrors", "StoresAcrossTags", "ReturnsUntold", "Forwards"}[m]
}
