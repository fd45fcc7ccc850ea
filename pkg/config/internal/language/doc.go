// Package language has the config language itself: its types as JSON with their defaults, and its
// schema in CUE, with and without the configs of the plugins.
package language
