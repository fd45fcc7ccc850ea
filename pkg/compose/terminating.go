package compose

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// terminatingInterval is after how long another try is made to create a child in a namespace that
// was being deleted, if that is not the one of the parent, which goes with it.
const terminatingInterval = 10 * time.Minute

// noteTerminating notes that a namespace is being deleted, as the API server has said.
func noteTerminating(m *Memory, parent types.UID, namespace string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	if p.terminating == nil {
		p.terminating = map[string]time.Time{}
	}
	p.terminating[namespace] = now
}

// isTerminating reports whether nothing can be created in a namespace, as far as is known.
func (c *current) isTerminating(namespace string) bool {
	c.Memory.mu.Lock()
	defer c.Memory.mu.Unlock()
	p := c.Memory.parents[c.parent.UID]
	if p == nil || p.terminating == nil {
		return false
	}
	at, ok := p.terminating[namespace]
	return ok && (namespace == c.parent.Namespace || c.now().Sub(at) < terminatingInterval)
}

// leaveTerminating makes those ops wait that would create something in a namespace that is being
// deleted: the API server refuses that until the namespace is gone.
func (c *current) leaveTerminating(ops []Op) {
	for i, op := range ops {
		if op.Action == Create && c.isTerminating(op.ID.Namespace) {
			const message = "its namespace is being deleted"
			ops[i].Action, ops[i].Reason, ops[i].Message, ops[i].NotReady = Wait, reasonTerminating, message, message
		}
	}
}

// awaitsNamespace reports whether a child waits for another namespace than that of the parent.
func awaitsNamespace(parent Parent, ops []Op) bool {
	return slices.ContainsFunc(ops, func(op Op) bool {
		return op.Reason == reasonTerminating && op.ID.Namespace != parent.Namespace
	})
}
