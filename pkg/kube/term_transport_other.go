//go:build !linux

package kube

import (
	"net"
	"time"
)

// giveUpAfter does nothing: only Linux has the option.
func giveUpAfter(*net.TCPConn, time.Duration) error { return nil }
