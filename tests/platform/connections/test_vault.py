"""A sealed secret opens at its place only."""

from uuid import UUID

import pytest

from treadle.platform.connections.errors import SecretUnreadable
from treadle.platform.connections.vault import Place, Sealed, Vault
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.installation import InstallationSecret

PLACE = Place(WorkspaceId(new_id()), new_id(), "secret", 1)


@pytest.fixture
def vault() -> Vault:
    return Vault(InstallationSecret(b"an installation's secret"))


def test_a_secret_opens_at_its_place(vault: Vault) -> None:
    sealed = vault.seal("s3cret", PLACE)
    assert vault.open(sealed, PLACE) == "s3cret"
    assert b"s3cret" not in sealed.sealed + sealed.wrapped_key


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place(WorkspaceId(UUID(int=1)), PLACE.connection, PLACE.field, PLACE.version),
        Place(PLACE.workspace, UUID(int=1), PLACE.field, PLACE.version),
        Place(PLACE.workspace, PLACE.connection, "other", PLACE.version),
        Place(PLACE.workspace, PLACE.connection, PLACE.field, 2),
    ],
)
def test_a_secret_moved_elsewhere_stays_closed(vault: Vault, elsewhere: Place) -> None:
    with pytest.raises(SecretUnreadable, match="it is damaged or was moved"):
        vault.open(vault.seal("s3cret", PLACE), elsewhere)


def test_a_changed_ciphertext_stays_closed(vault: Vault) -> None:
    sealed = vault.seal("s3cret", PLACE)
    changed = Sealed(sealed.kek_id, sealed.wrapped_key, sealed.sealed[:-1] + b"\0")
    with pytest.raises(SecretUnreadable):
        vault.open(changed, PLACE)


def test_another_installation_cannot_open_it(vault: Vault) -> None:
    other = Vault(InstallationSecret(b"another installation's"))
    with pytest.raises(SecretUnreadable, match="the installation's secret changed"):
        other.open(vault.seal("s3cret", PLACE), PLACE)


def test_the_same_secret_is_sealed_differently_each_time(vault: Vault) -> None:
    assert vault.seal("s3cret", PLACE).sealed != vault.seal("s3cret", PLACE).sealed
