package peers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// Set makes the members the fleet. It takes the list that every instance is given: whether or not it
// names this instance, this instance is a member. Those that are Leaving own no keys, and are asked for what they hold and told of
// invalidations. Peers whose URL stays keep their connections and what is
// known of their health; calls to peers that leave run to their end. For a minute the Pool remembers the view before: who owned
// a key then is asked for it before it is loaded anew, and is told of invalidations. Set connects to nobody,
// and returns when the new view is in place. It fails, and changes nothing, if a URL is wrong or
// listed twice, a Weight is out of range, or an http URL is listed where certificates are the credential;
// the error names every such member.
func (p *Pool) Set(members ...Member) error {
	listed, err := p.check(members)
	if err != nil {
		return err
	}
	return p.change(func() {
		p.listed = listed
		maps.DeleteFunc(p.announced, func(url string, _ instanceID) bool {
			return !slices.ContainsFunc(listed, func(m Member) bool { return m.URL == url })
		})
	})
}

// change does what changes the members, and makes the view anew.
func (p *Pool) change(do func()) error {
	p.setMu.Lock()
	do()
	c, err := p.replace()
	p.setMu.Unlock()
	if err != nil {
		return err
	}
	p.tell(c)
	return nil
}

// changes are those of a view that caches are told of.
type changes struct {
	came      []cache.Peer // into the view, or can be reached again
	forgotten []cache.Peer // of these
	moved     bool         // others own what they did not own before
}

// replace makes the view of those who are members now. setMu must be held.
func (p *Pool) replace() (c changes, err error) {
	placed, leaving := p.place()
	table, err := ring.New(placed...)
	if err != nil {
		return c, fmt.Errorf("peers: Set: %w", err)
	}
	old := p.view.Load()
	if old == nil {
		p.view.Store(p.newView(table, nil, nil))
		return c, nil
	}
	met := maps.Clone(old.met)
	former := old.former
	until := p.now() + p.viewWindow
	if c.moved = old.table.Epoch() != table.Epoch(); c.moved {
		for url, pr := range old.peers {
			met[url] = pr.leftAt(until)
		}
		former = slices.Insert(slices.Clone(former), 0, p.formerView(old, placed, until))
		p.log.Info("peers: new view", "members", table.Len(), "epoch", hexEpoch(table.Epoch()))
	}
	for _, url := range leaving {
		met[url] = p.peerAt(url).leftAt(until)
	}
	v := p.newView(table, former[:min(len(former), maxFormer)], met)
	p.view.Store(v)
	for url, pr := range old.peers {
		if v.peers[url] == nil {
			pr.health.leave()
			p.monitor.poke()
		}
	}
	for url, pr := range v.peers {
		if old.peers[url] == nil {
			pr.health.back()
			c.came = append(c.came, pr)
			if s := old.met[url]; s.gone || s.forgot {
				c.forgotten = append(c.forgotten, pr)
			}
		}
	}
	return c, nil
}

// leftAt returns what is remembered of a member that leaves, until then.
func (p *peer) leftAt(until time.Duration) stranger {
	s := stranger{until: until, left: true}
	if id := p.instance.Load(); id != nil {
		s.instance = *id
	}
	return s
}

// check checks members, and returns them with their URLs normalised.
func (p *Pool) check(members []Member) ([]Member, error) {
	var errs []error
	listed := make([]Member, 0, len(members))
	spelled := make(map[string]string, len(members)) // by normalised URL
	for _, m := range members {
		url, err := normalize(m.URL)
		if err == nil {
			err = checkScheme(url, p.tlsOnly)
		}
		switch other, twice := spelled[url]; {
		case err != nil:
			errs = append(errs, fmt.Errorf("peers: Set: member %q: %w", shown(m.URL), err))
			continue
		case twice && other != m.URL:
			errs = append(errs, fmt.Errorf("peers: Set: member %q is listed twice, also as %q: list each instance once", m.URL, other))
			continue
		case twice:
			errs = append(errs, fmt.Errorf("peers: Set: member %q is listed twice: list each instance once", m.URL))
			continue
		}
		if m.Weight < 0 || m.Weight > ring.MaxWeight {
			errs = append(errs, fmt.Errorf("peers: Set: member %q: Weight is %d: use 1 to %d, or 0 for 1", shown(m.URL), m.Weight, ring.MaxWeight))
		}
		spelled[url] = m.URL
		m.URL = url
		listed = append(listed, m)
	}
	return listed, errors.Join(errs...)
}

// place returns the members that own keys, and the others. This instance is a member unless it leaves and there is somebody else. setMu
// must be held.
func (p *Pool) place() (placed []ring.Member, leaving []string) {
	own := ring.Member{ID: p.self, Weight: p.cfg.Weight}
	leaves := p.leaves
	for _, m := range p.listed {
		_, away := p.announced[m.URL]
		switch {
		case m.URL == p.self:
			own.Weight = m.Weight
			leaves = leaves || m.Leaving
		case m.Leaving, away:
			leaving = append(leaving, m.URL)
		default:
			placed = append(placed, ring.Member{ID: m.URL, Weight: m.Weight})
		}
	}
	if !leaves || len(placed) == 0 {
		placed = append(placed, own)
	}
	return placed, leaving
}
