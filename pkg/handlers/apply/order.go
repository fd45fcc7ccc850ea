package apply

import (
	"slices"
	"strings"
)

// ordered returns the children such that each comes after those that it reads. A cycle is a
// problem.
func (c *compiler) ordered(all map[string]*child) []*child {
	var order []*child
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		switch state[name] {
		case 1:
			cycle := append(slices.Clone(way[slices.Index(way, name):]), name)
			c.report("children."+quoteLabel(name), "reads itself: "+strings.Join(cycle, " reads "),
				"take one of these out of the templates")
			return
		case 2:
			return
		}
		state[name] = 1
		for _, other := range all[name].reads {
			if all[other] != nil {
				visit(other, append(way, name))
			}
		}
		state[name] = 2
		order = append(order, all[name])
	}
	for _, name := range sortedKeys(all) {
		visit(name, nil)
	}
	return order
}
