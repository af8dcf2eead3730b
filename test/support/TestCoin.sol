// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A coin for tests that has the habits of Tether's: `transfer` returns nothing, a fee can be switched on,
/// and anybody may "move" zero units of anybody. Anyone may mint. Never for use on a real chain.
contract TestCoin {
    string public name;
    string public symbol;
    uint8 public immutable decimals;
    uint256 public totalSupply;
    address public immutable owner;
    uint256 public feeBasisPoints;

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(uint8 decimals_, string memory name_, string memory symbol_) {
        decimals = decimals_;
        name = name_;
        symbol = symbol_;
        owner = msg.sender;
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    /// With a fee on, the recipient gets the net amount and a second Transfer pays the owner.
    function setFee(uint256 basisPoints) external {
        feeBasisPoints = basisPoints;
    }

    function transfer(address to, uint256 value) external {
        move(msg.sender, to, value);
    }

    /// Several transfers in one transaction: one log each, in the order given.
    function batch(address[] calldata to, uint256[] calldata values) external {
        require(to.length == values.length, "lengths differ");
        for (uint256 i = 0; i < to.length; i++) {
            move(msg.sender, to[i], values[i]);
        }
    }

    function approve(address spender, uint256 value) external {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
    }

    /// A value of zero needs no allowance: this is how addresses are poisoned.
    function transferFrom(address from, address to, uint256 value) external {
        require(allowance[from][msg.sender] >= value, "not allowed");
        allowance[from][msg.sender] -= value;
        move(from, to, value);
    }

    function move(address from, address to, uint256 value) private {
        require(balanceOf[from] >= value, "not enough");
        uint256 fee = (value * feeBasisPoints) / 10000;
        balanceOf[from] -= value;
        balanceOf[to] += value - fee;
        emit Transfer(from, to, value - fee);
        if (fee > 0) {
            balanceOf[owner] += fee;
            emit Transfer(from, owner, fee);
        }
    }
}
