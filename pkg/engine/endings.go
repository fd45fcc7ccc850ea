package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// endings are the definitions that are ending, by their ids. A definition with the same id, or one
// that has it in formerly, waits for their last calls: no child is written by both.
type endings struct {
	mu   sync.Mutex
	ends map[string][]<-chan struct{} // each closed when a definition has ended
}

// add notes that a definition of that id ends, and that end is closed then.
func (l *endings) add(id string, end <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends == nil {
		l.ends = map[string][]<-chan struct{}{}
	}
	for other, ends := range l.ends { // Nobody may ask for its id any more.
		if l.ends[other] = slices.DeleteFunc(ends, isClosed); len(l.ends[other]) == 0 {
			delete(l.ends, other)
		}
	}
	l.ends[id] = append(l.ends[id], end)
}

// of returns the ends that are to come of definitions with that id.
func (l *endings) of(id string) []<-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(l.ends[id]), isClosed)
	if len(left) == 0 {
		delete(l.ends, id)
	}
	return left
}

func isClosed(end <-chan struct{}) bool {
	select {
	case <-end:
		return true
	default:
		return false
	}
}

// awaitEndings waits until the last calls of those definitions have returned whose children are
// those of the revision. It returns false when ctx has ended before that.
func awaitEndings(ctx context.Context, c *composing) bool {
	for _, id := range c.revision.def.IDs() {
		for _, end := range c.controller.endings.of(id) {
			c.setTrouble(fmt.Errorf("waiting for the last call of definition %s, whose children these are", id)) //nolint:err113 // for a person
			select {
			case <-end:
			case <-ctx.Done():
				return false
			}
			c.setTrouble(nil)
		}
	}
	return true
}
