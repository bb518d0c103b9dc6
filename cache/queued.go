package cache

import "time"

// queueLook is when it is first looked whether a load waits for its turn; then after twice as long each time.
const queueLook = 25 * time.Millisecond

// A looker says when to look for loads that wait. Nil: never.
type looker struct {
	timer *time.Timer
	next  time.Duration
}

func newQueueLook(needed bool) *looker {
	if !needed {
		return nil
	}
	return &looker{time.NewTimer(queueLook), queueLook}
}

func (l *looker) due() <-chan time.Time {
	if l == nil {
		return nil
	}
	return l.timer.C
}

func (l *looker) again() {
	l.next *= 2
	l.timer.Reset(l.next)
}

func (l *looker) stop() {
	if l != nil {
		l.timer.Stop()
	}
}

// tellQueued calls queued for each flight that waits for its turn, once.
func (b *fills[V]) tellQueued() {
	if b.told == nil {
		b.told = make([]bool, len(b.flights))
	}
	for i, f := range b.flights {
		if f != nil && !b.told[i] && f.Queued() && !f.Settled() {
			b.told[i] = true
			b.queued(i)
		}
	}
}
