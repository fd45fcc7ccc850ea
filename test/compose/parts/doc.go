// Package parts is the plugin "parts" of the tests of children: a composer whose config lists the
// children. In every text of the config, {name}, {namespace}, {uid} and {text} stand for the
// parent's, {text} being its spec.text; {child NAME PATH} for a field of an observed child, which
// is waited for; and {related NAME} for the names of related objects, joined by spaces.
package parts
