package wire

import "reflect"

// maxChangeDepth is how deep below the root a change is looked for; what is deeper is a change of
// what it is in.
const maxChangeDepth = 6

// Changes returns the paths in which two states of an object differ, at most so many. Lists are
// compared as a whole. of is the pointer type that protobuf is decoded into, nil for none: it has
// the names of the fields. What the API server counts, resourceVersion and generation, is left out,
// and so are apiVersion and kind. Nothing is decoded, and of what both states have alike only one
// is parsed, so it is cheap. The result must not be changed. Two states in different encodings, or
// that cannot be read, have no changes that are known.
func Changes(a, b *Object, of reflect.Type, most int) []string {
	if a.Encoding != b.Encoding || most <= 0 {
		return nil
	}
	c := changes{most: most, loaded: load(a.Data) ^ load(b.Data)}
	switch {
	case a.Encoding == Protobuf && of != nil:
		if message := messageTypeOf(of); message != nil {
			c.messages(a.Data, b.Data, message)
		}
	case a.Encoding == JSON:
		c.objects(a.Data, b.Data)
	}
	return c.found
}

// changes collects paths.
type changes struct {
	most  int
	found []string
	path  [maxChangeDepth][]byte // of this place
	depth int                    // how many names of path there are
	same  bool                   // what follows is known to be the same, to the ends of both JSON texts

	loaded byte // says nothing: what is loaded has to be used
}

// load reads data into the processor's cache as far as it can do so at once: the state before a
// change was not looked at for long, and a comparison waits for one piece of it after the other.
func load(data []byte) (all byte) {
	const line, most = 64, 4 << 10
	for at := 0; at < min(len(data), most); at += line {
		all ^= data[at]
	}
	return all
}

func (c *changes) full() bool { return len(c.found) >= c.most }

// add notes a change at or below a name in this place, unless it counts for nothing.
func (c *changes) add(name []byte) {
	if c.full() || c.counted(name) {
		return
	}
	path := c.pathOf(name)
	if c.found == nil {
		c.found = path
		return
	}
	c.found = append(c.found, path...)
}

// counted reports whether a field of this place is one of those that say nothing.
func (c *changes) counted(name []byte) bool {
	switch c.depth {
	case 0:
		return string(name) == "apiVersion" || string(name) == "kind"
	case 1:
		return string(c.path[0]) == "metadata" &&
			(string(name) == "resourceVersion" || string(name) == "generation" || string(name) == "managedFields")
	}
	return false
}

// deepest reports whether nothing is looked for below the names of this place.
func (c *changes) deepest() bool { return c.depth >= maxChangeDepth-1 }

// enter goes to what is below a name of this place, which is not the deepest; leave goes back.
func (c *changes) enter(name []byte) {
	c.path[c.depth] = name
	c.depth++
}

func (c *changes) leave() { c.depth-- }
