"""One of two cores taken out of service and put back while clients poll (`noonmark drain`): nothing is lost, keys
rotate meanwhile, and a dataplane that was killed knows nothing of it."""

import contextlib
import os
import signal

import pytest

from failpoints import exchange
from lab import network
from lab_server import running, settled
from loss_counter import LossCounter
from polling import comes_true, pid_of
from role_processes import UIDS

CLIENTS = [f"10.123.0.{number}" for number in range(101, 117)]  # each meets one core, for ever


def add_clients(lab):
    for address in CLIENTS:
        lab.run_in_client("ip", "addr", "add", f"{address}/24", "dev", network.CLIENT_DEVICE)


@pytest.fixture(scope="module", name="cpus")
def fixture_cpus():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    return sorted(os.sched_getaffinity(0))[:2]


@pytest.fixture(scope="module", name="lab")
def fixture_lab(cpus):
    dataplane = {"devices": [f"af_packet:{network.SERVER_DEVICE}"], "cores": cpus}
    with running("drain", prepare=add_clients, dataplane=dataplane) as lab:
        yield lab


@pytest.fixture(autouse=True)
def fixture_both_in_service(lab, cpus):
    yield
    for cpu in cpus:
        asked(lab, "undrain", cpu)


def asked(lab, word, cpu):
    """The state that the core is in at last: on a busy machine the dataplane takes longer than admin waits for it, and
    then `noonmark` says that it was asked."""
    state = []
    assert comes_true(lambda: state.append(lab.ask(word, cpu)["state"]) is None), f"{word} {cpu}"
    return state[0]


def cores(lab):
    """{CPU: what `noonmark status` says of it}."""
    return {core["cpu"]: core for core in lab.ask("status")["dataplane"]["cores"]}


def queues(lab):
    return {cpu: core["queues"] for cpu, core in cores(lab).items()}


def states(lab):
    return {cpu: core["state"] for cpu, core in cores(lab).items()}


def noonmark(lab, *words):
    return lab.run_in_server(lab.binary("noonmark"), *words, "--pages", lab.pages, check=False, timeout_s=10)


@contextlib.contextmanager
def clients_of_both_cores(lab, cpus):
    """LossCounters that poll all the while, so many that both queues have some; none of them may lose anything."""
    with contextlib.ExitStack() as all_of_them:
        clients, session = [], exchange(lab)
        for address in CLIENTS:
            before = cores(lab)
            clients.append(all_of_them.enter_context(LossCounter(lab, [session], source=address)))
            assert comes_true(lambda: any(cores(lab)[cpu]["received_packets"] >= before[cpu]["received_packets"] + 10
                                          for cpu in cpus))
            if len(clients) >= 3 and all(works(lab, cpu) for cpu in cpus):
                break
        else:
            pytest.fail("one queue gets everything")
        yield clients
    for client in clients:
        assert not client.lost and not client.naks and not client.wrong and client.good == client.sent, client.losses()


def works(lab, cpu, seconds=1):
    """True once the core has received more."""
    before = cores(lab)[cpu]["received_packets"]
    return comes_true(lambda: cores(lab)[cpu]["received_packets"] > before, seconds)


def goes_on(clients, answers=30):
    """True once each client has that many more answers."""
    before = [client.good for client in clients]
    return comes_true(lambda: all(client.good >= good + answers for client, good in zip(clients, before)))


def reconciled(lab):
    now = settled(lab)
    assert now["received_packets"] == now["verdicts"]
    assert now["sent_packets"] == sum(count for name, count in now["nts"].items() if not name.startswith("drop_"))
    for name in ("received_packets", "sent_packets", "verdicts"):
        assert sum(core[name] for core in now["cores"]) == now[name], name
    return now


def test_a_core_leaves_and_comes_back_under_load_and_no_packet_is_lost(lab, cpus):
    stays, leaves = cpus
    with clients_of_both_cores(lab, cpus) as clients:
        for _ in range(3):
            assert asked(lab, "drain", leaves) == "drained"
            assert queues(lab) == {stays: 2, leaves: 0}, "said to be done once it is"
            drained = cores(lab)
            assert (drained[stays]["state"], drained[leaves]["state"]) == ("in service", "drained")
            assert goes_on(clients)
            now = cores(lab)
            assert now[leaves]["received_packets"] == drained[leaves]["received_packets"] > 0, "kept, and no more"
            assert asked(lab, "undrain", leaves) == "in service"
            assert goes_on(clients)
            back = cores(lab)
            assert queues(lab) == {stays: 1, leaves: 1}
            assert back[leaves]["received_packets"] > drained[leaves]["received_packets"]
    after = reconciled(lab)
    assert after["sent_packets"] >= sum(client.good for client in clients)


def test_a_key_takes_over_while_a_core_is_drained_and_both_serve_with_it_afterwards(lab, cpus):
    with clients_of_both_cores(lab, cpus) as clients:
        asked(lab, "drain", cpus[0])
        new_key = lab.ask("rotate")["new_key_id"]
        assert comes_true(lambda: lab.ask("keys")["current_id"] == new_key)
        assert not lab.ask("keys")["rotation_pending"] and not lab.ask("keys")["alarm"]
        session = exchange(lab)  # its cookies are under the new key
        for client in clients:
            client.add(session)
        assert goes_on(clients)
        asked(lab, "undrain", cpus[0])
        assert cores(lab)[cpus[0]]["acknowledged_keys"] == lab.ask("status")["keys"]["generation"]
        assert goes_on(clients)


def test_it_survives_a_reload_and_the_death_of_admin(lab, cpus):
    asked(lab, "drain", cpus[1])
    lab.ask("reload")
    assert states(lab) == {cpus[0]: "in service", cpus[1]: "drained"}
    os.kill(pid_of(lab, UIDS["admin"]), signal.SIGKILL)
    assert comes_true(lambda: states(lab) == {cpus[0]: "in service", cpus[1]: "drained"})
    lab.ask("reload")
    assert states(lab) == {cpus[0]: "in service", cpus[1]: "drained"}
    assert asked(lab, "undrain", cpus[1]) == "in service"


def test_a_dataplane_that_was_killed_comes_back_with_all_cores_in_service(lab, cpus):
    asked(lab, "drain", cpus[1])
    before = lab.ask("status")["dataplane"]["pid"]
    os.kill(pid_of(lab, UIDS["dataplane"]), signal.SIGKILL)
    assert comes_true(lambda: lab.ask("status")["dataplane"]["pid"] != before)
    assert comes_true(lambda: states(lab) == dict.fromkeys(cpus, "in service"))
    lab.ask("reload")
    assert states(lab) == dict.fromkeys(cpus, "in service")
    with clients_of_both_cores(lab, cpus) as clients:
        assert goes_on(clients)
    assert asked(lab, "drain", cpus[0]) == "drained", "and it can be asked anew"


def test_what_cannot_be_is_refused_with_the_reason(lab, cpus):
    unknown = noonmark(lab, "drain", "4000")
    assert unknown.returncode == 1 and f"it has {cpus[0]}, {cpus[1]}" in unknown.stderr
    assert asked(lab, "drain", cpus[0]) == "drained"
    assert noonmark(lab, "drain", cpus[0]).returncode == 0, "it is already"
    last = noonmark(lab, "drain", cpus[1])
    assert last.returncode == 1 and "last core in service" in last.stderr
    assert states(lab) == {cpus[0]: "drained", cpus[1]: "in service"}
    assert queues(lab) == {cpus[0]: 0, cpus[1]: 2}
    told = noonmark(lab, "status").stdout
    assert f"CPU {cpus[0]} drained, 0 queues, packets " in told and f"CPU {cpus[1]} in service, 2 queues, " in told


def thread_on(pid, cpu):
    """/proc directory of the worker that is pinned to `cpu`."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as lines:
            if any(line.split() == ["Cpus_allowed_list:", str(cpu)] for line in lines):
                return f"/proc/{pid}/task/{task}"
    raise AssertionError(f"no thread on CPU {cpu}")


def test_a_drained_core_sleeps(lab, cpus):
    """It polls nothing: the kernel finds it asleep; the other one never is."""
    asked(lab, "drain", cpus[1])
    worker = thread_on(pid_of(lab, UIDS["dataplane"]), cpus[1])
    assert comes_true(lambda: asleep_in_a_row(worker) >= 20)
    asked(lab, "undrain", cpus[1])
    assert comes_true(lambda: asleep_in_a_row(worker) == 0)


def asleep_in_a_row(task, looks=50):
    for count in range(looks):
        with open(f"{task}/stat", encoding="ascii") as stat:
            if stat.read().rpartition(")")[2].split()[0] != "S":
                return count
    return looks
