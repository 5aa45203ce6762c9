//go:build amd64 || arm64

package worker

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The offsets in what the kernel shows a filter, struct seccomp_data. Of an
// argument a filter sees the low half first on our machines.
const (
	dataCall         = 0
	dataArchitecture = 4
	dataArguments    = 16
)

// pagemapScan asks which pages of a guest's memory were written.
const pagemapScan = 0xc0606610

// refusal is what a call gets that is not allowed: EPERM, which Go and C
// libraries take for an answer, rather than the end of the process.
const refusal = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// filter is a program for the kernel that lets only those calls pass which a
// worker needs once it has its module. None of them can reach another process.
func (g grants) filter() []unix.SockFilter {
	f := []unix.SockFilter{
		load(dataArchitecture),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: architecture, Jt: 1},
		verdict(unix.SECCOMP_RET_KILL_PROCESS),
		load(dataCall),
	}
	for _, call := range g.calls() {
		f = append(f, when(unix.BPF_JEQ, call, 1)...)
		f = append(f, verdict(unix.SECCOMP_RET_ALLOW))
	}
	f = append(f, argument(unix.SYS_CLONE, 0, unix.BPF_JSET, unix.CLONE_THREAD)...)
	f = append(f, argument(unix.SYS_TGKILL, 0, unix.BPF_JEQ, uint32(os.Getpid()))...)
	f = append(f, argument(unix.SYS_IOCTL, 1, unix.BPF_JEQ, pagemapScan)...)
	f = append(f, argument(unix.SYS_SOCKET, 0, unix.BPF_JEQ, g.family(unix.AF_INET))...)
	f = append(f, argument(unix.SYS_SOCKET, 0, unix.BPF_JEQ, g.family(unix.AF_INET6))...)
	f = append(f, g.open()...)
	// A C library then takes clone instead, whose flags a filter can see.
	f = append(f, when(unix.BPF_JEQ, unix.SYS_CLONE3, 1)...)
	f = append(f, verdict(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	return append(f, verdict(refusal))
}

// family is that address family, or none at all.
func (g grants) family(of uint32) uint32 {
	if g.net {
		return of
	}
	return ^uint32(0)
}

// open lets a worker with the network read the files that names and certificates
// are checked with. One with a directory may open what it likes.
func (g grants) open() []unix.SockFilter {
	if g.files || !g.net {
		return nil
	}
	return slices.Concat(
		when(unix.BPF_JEQ, unix.SYS_OPENAT, 4),
		[]unix.SockFilter{
			load(dataArguments + 8*2),
			{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC, Jt: 1},
			verdict(unix.SECCOMP_RET_ALLOW),
			load(dataCall),
		},
	)
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func verdict(with uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: with}
}

// when skips so many instructions unless what is loaded compares.
func when(comparison uint16, to uint32, skip uint8) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: to, Jf: skip}}
}

// argument lets a call pass whose argument compares.
func argument(call uint32, n uint32, comparison uint16, to uint32) []unix.SockFilter {
	return slices.Concat(
		when(unix.BPF_JEQ, call, 4),
		[]unix.SockFilter{load(dataArguments + 8*n)},
		when(comparison, to, 1),
		[]unix.SockFilter{verdict(unix.SECCOMP_RET_ALLOW), load(dataCall)},
	)
}

// calls are those that may have any arguments, the most frequent first.
func (g grants) calls() []uint32 {
	calls := []uint32{
		unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_PREAD64, unix.SYS_NANOSLEEP,
		unix.SYS_MADVISE, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP,
		unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RESTART_SYSCALL,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_CLOSE, unix.SYS_FCNTL, unix.SYS_FSTAT, unix.SYS_LSEEK, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_READV,
		unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL,
		unix.SYS_MEMFD_CREATE, unix.SYS_FTRUNCATE, // the images of snapshots
	}
	calls = append(calls, ownCalls()...)
	if g.files {
		calls = append(calls,
			unix.SYS_OPENAT, unix.SYS_GETDENTS64, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_FACCESSAT,
			unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT,
			unix.SYS_UTIMENSAT, unix.SYS_FALLOCATE, unix.SYS_FADVISE64, unix.SYS_FSYNC, unix.SYS_FDATASYNC,
			unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_DUP3)
	}
	if g.net {
		calls = append(calls,
			unix.SYS_NEWFSTATAT, unix.SYS_GETDENTS64,
			unix.SYS_CONNECT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT,
			unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SHUTDOWN)
	}
	return calls
}
