package wire

import (
	"maps"
	"sync"
	"sync/atomic"

	"kooperd.dev/kooperd/pkg/expression"
)

// The bounds of what is kept of paths that were found.
const (
	maxKnownPaths = 512
	maxKnownPath  = 128 // bytes
)

// knownPaths has the text of a path that was found before, alone in a slice, by the names in it.
// Mostly it is the same few fields that change. The map is replaced and never changed, and has at
// most maxKnownPaths of them: what comes later is written anew each time.
var (
	knownPaths atomic.Pointer[map[string][]string]
	addingPath sync.Mutex
)

// pathOf returns the path of a name in this place, alone in a slice that must not be changed.
func (c *changes) pathOf(name []byte) []string {
	var room [maxKnownPath]byte
	key := room[:0]
	for _, above := range c.path[:c.depth] {
		key = appendName(key, above)
	}
	key = appendName(key, name)
	known := knownPaths.Load()
	if known != nil {
		if path, ok := (*known)[string(key)]; ok {
			return path
		}
	}
	path := make(expression.Path, 0, maxChangeDepth)
	for _, above := range c.path[:c.depth] {
		path = append(path, string(above))
	}
	found := []string{append(path, string(name)).String()}
	if len(key) <= maxKnownPath && (known == nil || len(*known) < maxKnownPaths) {
		rememberPath(string(key), found)
	}
	return found
}

// appendName appends a name so that no other names come to the same bytes.
func appendName(to, name []byte) []byte {
	n := len(name)
	return append(append(to, byte(n), byte(n>>8)), name...)
}

func rememberPath(key string, path []string) {
	addingPath.Lock()
	defer addingPath.Unlock()
	next := map[string][]string{}
	if known := knownPaths.Load(); known != nil {
		next = maps.Clone(*known)
	}
	if len(next) < maxKnownPaths {
		next[key] = path
		knownPaths.Store(&next)
	}
}
