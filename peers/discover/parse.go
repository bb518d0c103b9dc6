package discover

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

// maxErrors is how many wrong lines an error of Parse names.
const maxErrors = 10

// Parse returns the members that a File's text lists, in its order. A line is a member's URL and, after space, what
// else is to say of it, in any order:
//
//	# the fleet; what follows a # at the beginning of a word does not count
//	http://10.0.0.1:8080
//	http://10.0.0.2:8080 weight=2
//	http://10.0.0.3:8080 leaving   # it goes tonight
//
// Empty lines do not count. The weight is 1 to ring.MaxWeight. It fails if a line is wrong in any way, if two
// name the same member, in whatever spelling, and if none names one. The error names the first lines that are wrong by their
// numbers, from 1.
func Parse(text string) ([]Member, error) {
	var members []Member
	var errs []error
	lineOf := make(map[string]int) // by the one spelling of the URL
	number := 0
	for line := range strings.Lines(text) {
		number++
		m, err := parseLine(line)
		switch {
		case err != nil:
		case m.URL == "":
			continue
		default:
			var url string
			if url, err = address.Normalize(m.URL); err != nil {
				break
			}
			if first := lineOf[url]; first != 0 {
				err = fmt.Errorf("%q is listed twice, also in line %d: list each instance once", m.URL, first)
				break
			}
			lineOf[url] = number
		}
		if err == nil {
			members = append(members, m)
			continue
		}
		if len(errs) == maxErrors {
			errs = append(errs, errors.New("and others"))
			break
		}
		errs = append(errs, fmt.Errorf("line %d: %w", number, err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(members) == 0 {
		return nil, errors.New("no members are listed: give each instance a line such as http://10.0.0.1:8080")
	}
	return members, nil
}

// parseLine returns the member in line, its URL as it stands there; it is empty if there is none.
func parseLine(line string) (m Member, err error) {
	for i, word := range strings.Fields(line) {
		value, isWeight := strings.CutPrefix(word, "weight=")
		switch {
		case strings.HasPrefix(word, "#"):
			return m, nil
		case i == 0:
			m.URL = word
		case isWeight && m.Weight == 0:
			m.Weight, err = strconv.Atoi(value)
			if err != nil || m.Weight < 1 || m.Weight > address.MaxWeight || value != strconv.Itoa(m.Weight) {
				return m, fmt.Errorf("weight is %.20q: use 1 to %d", value, address.MaxWeight)
			}
		case word == "leaving" && !m.Leaving:
			m.Leaving = true
		case isWeight || word == "leaving":
			return m, fmt.Errorf("%.20q comes after another one: say it once", word)
		default:
			return m, fmt.Errorf("%.40q is not understood: after the URL there may be weight=N and leaving", word)
		}
	}
	return m, nil
}
