package wire

import "bytes"

// objects compares two JSON objects.
func (c *changes) objects(a, b []byte) {
	p := pair{x: scanner{text: a}, y: scanner{text: b}}
	if c.same = p.align(); !c.same {
		c.members(&p)
	}
}

// members compares the JSON objects at the places of a pair, and moves behind them. Mostly both
// have the same members in the same order.
func (c *changes) members(p *pair) {
	x, y := p.name('{')
	for x != nil && y != nil && bytes.Equal(x, y) {
		if c.member(p, x); c.same || c.full() {
			return
		}
		x, y = p.name(',')
	}
	if (x != nil || y != nil) && !p.bad() {
		c.unordered(p, x, y)
	}
}

// member compares the values at the places of a pair, which have one name in quotes.
func (c *changes) member(p *pair, quoted []byte) {
	if p.x.atObject() && p.y.atObject() && !c.deepest() {
		c.enter(unquoted(quoted))
		c.members(p)
		c.leave()
		return
	}
	start := p.x.at
	a := p.x.value()
	if p.follow(start) {
		return
	}
	b := p.y.value()
	if !p.bad() && !bytes.Equal(a, b) {
		c.add(unquoted(quoted))
	}
	c.same = p.align()
}

// unordered compares what is left of two objects from two names on, of which one may be missing:
// they have not the same members, or not in the same order.
func (c *changes) unordered(p *pair, x, y []byte) {
	var roomA, roomB [16]member
	a, b := p.x.rest(x, roomA[:0]), p.y.rest(y, roomB[:0])
	if p.bad() {
		return
	}
	at := 0
	for _, m := range a {
		var other []byte
		if other, at = valueFrom(b, m.name, at); other == nil {
			c.add(unquoted(m.name))
		} else {
			c.values(m.name, m.value, other)
		}
		if c.full() {
			return
		}
	}
	at = 0
	for _, m := range b {
		var other []byte
		if other, at = valueFrom(a, m.name, at); other == nil {
			c.add(unquoted(m.name))
		}
	}
	c.same = p.align()
}

// values compares two values of one name, which are not at the places of a pair.
func (c *changes) values(quoted, a, b []byte) {
	switch {
	case bytes.Equal(a, b):
	case a[0] == '{' && b[0] == '{' && !c.deepest():
		c.enter(unquoted(quoted))
		c.objects(a, b)
		c.leave()
		c.same = false
	default:
		c.add(unquoted(quoted))
	}
}

// pair walks over two JSON texts. Where both are the same, it reads one of them.
type pair struct {
	x, y scanner
	// same is an end in x: before it, both texts have the same bytes from their places on.
	same int
}

func (p *pair) bad() bool { return p.x.bad || p.y.bad }

// align finds out how far both texts are the same from their places on, and whether that is to
// their ends.
func (p *pair) align() (ends bool) {
	a, b := p.x.text[p.x.at:], p.y.text[p.y.at:]
	n := samePrefix(a, b)
	p.same = p.x.at + n
	return n == len(a) && n == len(b)
}

// follow moves y over what x has moved over since start, if y has the same there. What follows has
// to be the same, too: 1 is the beginning of 12.
func (p *pair) follow(start int) bool {
	if p.x.bad || p.x.at >= p.same {
		return false
	}
	p.y.at += p.x.at - start
	return true
}

// name moves both to the value of the next member, see scanner.name.
func (p *pair) name(before byte) (x, y []byte) {
	start := p.x.at
	x = p.x.name(before)
	if p.follow(start) {
		return x, x
	}
	return x, p.y.name(before)
}

// name moves to the value of the next member, which follows a brace for the first one and a comma
// for others. It returns the name in quotes, or nil behind the end of the object.
func (s *scanner) name(before byte) []byte {
	if before == '{' {
		s.expect('{')
	}
	if s.peek() == '}' {
		s.at++
		return nil
	}
	if before == ',' {
		s.expect(',')
	}
	name := s.str()
	s.expect(':')
	if s.peek(); s.bad {
		return nil
	}
	return name
}

// rest appends the members from one on of which the name has been read, nil for none, and moves
// behind the object.
func (s *scanner) rest(name []byte, room []member) []member {
	for name != nil {
		room = append(room, member{name, s.value()})
		name = s.name(',')
	}
	return room
}

// atObject reports whether an object begins at this place.
func (s *scanner) atObject() bool { return s.at < len(s.text) && s.text[s.at] == '{' }

// unquoted is a string without its quotes.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return []byte(text(quoted))
	}
	return quoted[1 : len(quoted)-1]
}

// samePrefix is how many bytes two texts have alike at their beginnings.
func samePrefix(a, b []byte) int {
	const block = 64 // is compared at once
	n := min(len(a), len(b))
	at := 0
	for at+block <= n && bytes.Equal(a[at:at+block], b[at:at+block]) {
		at += block
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}
