// Package probe is the plugin "probe" of the reload tests, and the record of its calls. A call does
// what its object's labels say, and leaves one line in a file when it ends.
package probe
